# syntax=docker/dockerfile:1
# One image for all: docker build --build-arg SERVICE=dispatcher -t postfleet/dispatcher .
# SERVICE is a folder of services/, `gateway` for the command postfleet
# (gateway, bus apply), or `sandbox` for the mail world to try it in (deploy/sandbox).
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS build
ARG SERVICE
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

RUN apt-get update && apt-get install -y --no-install-recommends binutils=2.* && rm -rf /var/lib/apt/lists/*

# The locked packages first: this layer stays while only our own code changes.
COPY requirements/ requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    lock=requirements/${SERVICE/gateway/cli}.txt; \
    [ -n "$SERVICE" ] && [ -f "$lock" ] || { echo "SERVICE '$SERVICE' has no $lock: pass --build-arg SERVICE=<folder of services/, or gateway>"; exit 1; }; \
    python -m venv /build && /build/bin/pip install --require-hashes -r requirements/build.txt; \
    python -m venv /app && /app/bin/pip install --require-hashes --only-binary :all: --no-compile -r "$lock"

# Then our packages, without asking an index for anything.
COPY libs/common/ libs/common/
COPY libs/cli/ libs/cli/
COPY libs/sandbox/ libs/sandbox/
COPY services/ services/
COPY deploy/docker/ deploy/docker/
RUN deploy/docker/install "$SERVICE"

FROM python:${PYTHON}
ARG SERVICE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG LICENSES=Apache-2.0
LABEL org.opencontainers.image.title="postfleet-${SERVICE}" \
      org.opencontainers.image.description="Postfleet: sends mail through a fleet of sender mailboxes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="${LICENSES}" \
      org.opencontainers.image.base.name="docker.io/library/python:${PYTHON}"
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 MALLOC_TRIM_THRESHOLD_=131072 \
    POSTFLEET_HTTP_HOST=0.0.0.0 POSTFLEET_HTTP_PORT=8000 \
    POSTFLEET_DATA_DIR=/data POSTFLEET_TRACKER_SPOOL_DIR=/data/spool
# A fresh volume takes the owner of what it covers.
RUN install -d -o 10001 -g 10001 /data /data/spool /data/mailserver
COPY LICENSE NOTICE /app/share/postfleet/
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/app/bin/healthy"]
ENTRYPOINT ["/app/bin/start"]
