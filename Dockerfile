# The image of workers, of commands and, as the target serve-v1, of v1's API from the lake:
#
#     docker build --tag polygon-fundamentals .
#     docker build --tag polygon-fundamentals-serve-v1 --target serve-v1 .
#
# docs/deploying.md goes from here to a running deployment. tests/server/test_image.py carries the
# steps out.
ARG PYTHON=3.13

# Every dependency has a wheel, so nothing is compiled; pip and its cache stay in this stage.
FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /app
COPY constraints.txt pyproject.toml README.md ./
COPY src src
RUN python -m venv .venv
RUN .venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -e '.[publish,dask]'
RUN .venv/bin/python -m pip uninstall --yes --quiet setuptools wheel pip && rm -rf src/*.egg-info
COPY flows flows
COPY tasks tasks
COPY expectations expectations
COPY deployments deployments
COPY sandbox sandbox
# What `sign-off training` is a signature of.
COPY docs/training.md docs/training.md
COPY prefect.yaml ./
RUN .venv/bin/python -m compileall -q src flows tasks expectations deployments sandbox

FROM python:${PYTHON}-slim-bookworm AS run
LABEL org.opencontainers.image.title="polygon-fundamentals" \
      org.opencontainers.image.description="Fundamentals from Polygon's v1 and v2 APIs: loads, parity, cutover, silver" \
      org.opencontainers.image.documentation="docs/deploying.md"
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip
RUN groupadd --gid 10001 fundamentals && useradd --uid 10001 --gid 10001 --create-home fundamentals
RUN install --directory --owner=10001 --group=10001 /data/lake
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH
ENV QUANTLAKE_ROOT=/data/lake
ENV PYTHONUNBUFFERED=1
WORKDIR /app
USER 10001:10001
# The group may write what a container wrote, whatever the runtime's umask.
ENTRYPOINT ["/bin/sh", "-c", "umask 002 && exec \"$@\"", "sh"]
CMD ["polygon-fundamentals", "--help"]

# Readers must name a key: SERVE_V1_KEYS_FILE or POLYGON_API_KEY.
FROM run AS serve-v1
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health', timeout=9)"]
CMD ["polygon-fundamentals", "serve-v1", "--host", "0.0.0.0", "--port", "8080"]

# What is built without --target.
FROM run
