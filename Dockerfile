# An image with nothing in it but the program, the authorities that it trusts and
# an empty data folder. docs/OPERATIONS.md, "Docker", says how to build and run it.

FROM golang:1.26 AS build
WORKDIR /src
# First what changes seldom, so that a change of the sources does not fetch the
# modules anew.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Without cgo the program needs no library; the zones of time, which queries name,
# are inside it.
RUN CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags=-s -o /out/varve ./cmd/varve
RUN mkdir /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/varve /varve
# Not root, and a number that no system gives to a user of its own.
COPY --from=build --chown=65532:65532 --chmod=0700 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 8086 8000
# Inside the container every address is its own; what is published is decided by
# who runs it.
ENV VARVE_DATA_DIR=/data VARVE_HTTP_ADDR=0.0.0.0:8086 VARVE_SERVICE_ADDR=0.0.0.0:8000
# The check goes to the container itself, so that the name in a certificate is of
# no importance.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["/varve", "health", "--insecure"]
ENTRYPOINT ["/varve"]
CMD ["serve"]
