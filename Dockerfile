# The tag follows the security fixes of Python 3.11. Where an image must be rebuilt bit by bit, give a digest:
#   docker build --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:… .
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/dataqueue
ENV PATH=/opt/dataqueue/bin:$PATH
# Before the source, so that a change of code does not install everything again.
COPY constraints.txt ./
RUN pip install --require-hashes -r constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY alembic alembic
COPY app app
COPY dataqueue dataqueue
COPY workers workers
RUN python -m hatchling build -t wheel -d /dist \
    && pip install --no-deps --no-index /dist/*.whl \
    && pip uninstall --yes hatchling trove-classifiers

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 dataqueue \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin dataqueue
COPY --from=build /opt/dataqueue /opt/dataqueue
# Nothing is written but to /tmp: run with a read-only root file system and a tmpfs there.
# Handlers are copied or mounted into /srv.
ENV PATH=/opt/dataqueue/bin:$PATH \
    PYTHONPATH=/srv \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
# Of the API. A worker opens no port: disable it there, as docker-compose.yml does.
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('DATAQUEUE_PORT', '8000') + '/healthz', timeout=3)"]
# DATAQUEUE_URL says which PostgreSQL; there is no embedded one in here.
CMD ["dataqueue", "serve", "--host", "0.0.0.0"]
