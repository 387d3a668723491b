# One recipe for the three services and the gateway: docker build --build-arg SERVICE=storage .
# EXTRAS adds what a service can do without: torch, images, ray.
FROM python:3.11-slim AS build
ARG SERVICE
ARG EXTRAS=
RUN case "$SERVICE" in storage|metadata|training|gateway) ;; \
    *) echo "Give --build-arg SERVICE=storage, metadata, training or gateway" >&2; exit 1 ;; esac
RUN python -m venv /opt/modelyard
ENV PATH=/opt/modelyard/bin:$PATH
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir ".[$SERVICE${EXTRAS:+,$EXTRAS}]"
RUN if [ "$SERVICE" = gateway ]; then echo gateway; else echo "services.$SERVICE"; fi > /opt/modelyard/module

FROM python:3.11-slim
ARG SERVICE
# LightGBM needs OpenMP, which the slim image leaves out.
RUN if [ "$SERVICE" = training ]; then \
      apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*; fi
RUN useradd --system --uid 10001 --create-home modelyard && install --directory --owner modelyard /data
COPY --from=build /opt/modelyard /opt/modelyard
ENV PATH=/opt/modelyard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    MODELYARD_DATA_DIR=/data \
    MODELYARD_LOG_FORMAT=json
USER modelyard
WORKDIR /home/modelyard
VOLUME /data
CMD ["sh", "-c", "exec python -m \"$(cat /opt/modelyard/module)\""]
