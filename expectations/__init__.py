"""What a batch and a build must satisfy before anybody reads them, as Great Expectations suites in code.

``suites/<source>/<feed>.py`` adds a feed's own expectations to the suite that follows from its contract
(``contract_suite``); a feed without a module has the contract's suite alone. ``suites/figures`` holds the suites of
the published figures. ``gate`` and ``audit`` run them through ``runner`` and store every result in
``ops.validation_result``, of which ``report`` makes pages.

Severities: ``critical`` refuses the delivery or stops the publication, ``warning`` is recorded and somebody looks.
"""

import os

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # before the library is imported
