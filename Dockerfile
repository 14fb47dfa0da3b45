# The worker's image: the project with its locked dependencies. Not run here; see docs/prefect.md.
# --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:...: by its digest; without one nothing is built (docs/prefect.md).
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}

# Debian keeps only the newest patch of a package: a pinned one would soon not be there.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/lucidlr
COPY pyproject.toml requirements.lock README.md LICENSE prefect.yaml ./
COPY catalog catalog
COPY crawler crawler
COPY filters filters
COPY pipelines pipelines
COPY training training
# Hashes are checked for everything that comes from outside; the project itself is what stands here.
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock \
    && pip install --no-cache-dir --no-deps --no-build-isolation --editable .

ENV LUCIDLR_HOME=/opt/lucidlr
RUN useradd --create-home --uid 1000 lucidlr && mkdir -p /opt/lucidlr/out && chown lucidlr /opt/lucidlr/out
USER 1000
CMD ["lucidlr", "--help"]
