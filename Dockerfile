# The image brings no Postgres: DATABASE_URL must name one. (The embedded one, for a single machine, comes with npm.)
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# The compiler itself comes as an optional package, so these go only now.
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24-bookworm-slim
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
# Closing takes 25 s at most: give it `docker stop --time 30` (docker-compose.yml does).
STOPSIGNAL SIGTERM
# No shell and no npm in between: the service itself gets the signal.
CMD ["node", "dist/cli.js", "serve"]
