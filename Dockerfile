# The image of Watch Docker, from source: one static program, Docker Compose, CA
# roots, an empty folder for its state, and nothing else.
#
#   docker build -t watch-docker --build-arg VERSION=1.2.3 .
#
# Dockerfile.binary makes the same image of a program that is built already.

ARG COMPOSE_VERSION=v5.5.1

# The front end's stage (Node, web/) comes here.

# The compiler runs on the machine that builds, whatever that builds for. The
# builder that BuildKit replaces leaves these variables empty: the same machine.
FROM --platform=${BUILDPLATFORM:-linux} golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=devel
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -tags nomsgpack \
      -ldflags "-s -w -X github.com/watch-docker/watch-docker/internal/app.version=$VERSION" \
      -o /out/root/watch-docker cmd/watch-docker/main.go \
 && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/root/etc/ssl/certs/ca-certificates.crt \
 && install -d -m 0770 /out/state/config

FROM docker/compose-bin:${COMPOSE_VERSION} AS compose

FROM scratch
# By itself, since it stays from release to release.
COPY --from=compose /docker-compose /usr/local/bin/docker-compose
COPY --from=build /out/root/ /
# Root, the default user, can write here without any capability, since the group
# is its own. So can --user 65532, whatever its group.
COPY --from=build --chown=65532:0 /out/state/ /
# From here on Dockerfile.binary says the same.
ARG VERSION=devel
LABEL org.opencontainers.image.title="Watch Docker" \
      org.opencontainers.image.description="Keeps the containers of a Docker host up to date" \
      org.opencontainers.image.source="https://github.com/watch-docker/watch-docker" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
ENV CONFIG_PATH=/config PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
VOLUME /config
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["/watch-docker", "healthcheck"]
ENTRYPOINT ["/watch-docker"]
