"""What a batch and a build must satisfy before anybody reads them, as Great Expectations suites in code.

One module a feed, named after its landing table (``membership_member``, …), adds its own expectations to the base
suite that follows from the contract; a feed without a module has the base suite alone. ``figures`` holds the suites of
the published figures. ``gate`` and ``audit`` run them and store every result in ``ops.validation_result``.

Severities: ``critical`` refuses the delivery or stops the publication, ``warning`` is recorded and somebody looks.
"""

import os

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # before the library is imported
