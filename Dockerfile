# One image for every Airflow service and for the command line, and one for Superset. The versions are those of
# requirements.lock and bi/requirements.lock; `make pin-images` adds the digest of the base.
FROM python:3.11.14-slim-bookworm AS warehouse

ARG UV_VERSION=0.13.9
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    VIRTUAL_ENV=/opt/warehouse/.venv \
    PATH=/opt/warehouse/.venv/bin:$PATH

RUN useradd --system --uid 50000 --create-home warehouse \
    && mkdir -p /data /inbox && chown warehouse /data /inbox

WORKDIR /opt/warehouse
# The environment changes less often than the code: a layer of its own.
COPY requirements.lock ./
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --quiet uv==${UV_VERSION} \
    && .venv/bin/uv pip sync --no-cache --quiet --require-hashes --compile-bytecode requirements.lock

COPY pyproject.toml README.md ./
COPY docker ./docker
COPY ingest ./ingest
COPY expectations ./expectations
COPY warehouse ./warehouse
COPY dbt_project ./dbt_project
COPY dags ./dags
RUN .venv/bin/uv pip install --no-cache --quiet --no-deps --no-build-isolation --editable .

# The loops of ingest/kernels are compiled once, for any processor of this kind, and kept.
ENV NUMBA_CACHE_DIR=/opt/warehouse/.compiled NUMBA_CPU_NAME=generic
RUN mkdir .compiled && chown warehouse .compiled
USER warehouse
RUN python -c "import ingest.staging"

# What a run makes lies in a volume; the database is another service.
ENV WAREHOUSE_HOME=/data AIRFLOW_HOME=/data/airflow
VOLUME /data
ENTRYPOINT ["python", "/opt/warehouse/docker/entrypoint.py"]
CMD ["warehouse", "status"]

# Superset has an environment of its own, for its pins differ from ours.
FROM warehouse AS superset
USER root
COPY bi ./bi
RUN .venv/bin/uv venv --quiet --python .venv/bin/python .venv-bi \
    && VIRTUAL_ENV=.venv-bi .venv/bin/uv pip sync --no-cache --quiet --require-hashes --compile-bytecode \
        bi/requirements.lock
USER warehouse
CMD ["python", "-m", "bi.superset"]
