create index concurrently "deployments_latest" on "analytics"."deployments" ("organization_id", "service", "environment", "deployed_at" desc, "id" desc) include ("success", "commit_sha");
