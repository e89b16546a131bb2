FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE penstock.py ./
COPY engine engine
COPY workers workers
COPY tasks tasks
COPY streams streams
RUN python -m venv /opt/penstock \
 && /opt/penstock/bin/pip install --no-cache-dir --constraint constraints.txt '.[oss,s3,flower,otel]'

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /home/penstock penstock
COPY --from=build /opt/penstock /opt/penstock
ENV PATH=/opt/penstock/bin:$PATH PYTHONUNBUFFERED=1
# Files of tasks are mounted here and named with --tasks.
WORKDIR /home/penstock
USER penstock
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["penstock", "doctor"]
# No shell in between: a stop must reach the worker, which lets running steps end.
ENTRYPOINT ["penstock"]
CMD ["worker"]
