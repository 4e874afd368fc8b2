import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: ['./src/database/schema.ts', './src/database/reference-tables.ts', './src/database/settings-tables.ts'],
  out: './drizzle',
})
