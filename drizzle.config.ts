import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'postgresql',
  schema: ['./src/database/schema.ts', './src/database/dimensions.ts', './src/database/settings.ts'],
  out: './drizzle',
})
