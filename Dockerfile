# The image has no Postgres: DATABASE_URL must name one. The embedded PostgreSQL, for a single machine, comes with the npm package.
FROM node:24.21.0-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# Optional packages are removed only now, because the TypeScript compiler is one of them.
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY drizzle drizzle
COPY LICENSE README.md CHANGELOG.md ./
USER node
EXPOSE 8080 8081
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Shutting down takes at most 25 s: use `docker stop --time 30` (docker-compose.yml sets it).
STOPSIGNAL SIGTERM
# Without a shell or npm in between, the service itself gets the signal.
CMD ["node", "dist/cli.js", "serve"]
