// Prints the SBOM of production (CycloneDX): every package that `npm ci --omit dev` installs on some platform, from the lockfile.
// `npm sbom --omit dev` also leaves out what a development package and production share, such as pg-protocol (npm 10 and 11), so this
// gives npm a lockfile without development packages.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const read = (name) => JSON.parse(readFileSync(new URL(`../${name}`, import.meta.url), 'utf8'))
const { devDependencies: _, ...manifest } = read('package.json')
const lock = read('package-lock.json')
lock.packages = Object.fromEntries(Object.entries(lock.packages).filter(([, { dev }]) => !dev))
delete lock.packages[''].devDependencies

const parent = mkdtempSync(join(tmpdir(), 'bkm-sbom-'))
// npm names the SBOM after its folder.
const folder = join(parent, manifest.name)
try {
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock))
  const options = ['--omit', 'dev', '--package-lock-only', '--sbom-format', 'cyclonedx']
  execFileSync('npm', ['sbom', ...options], { cwd: folder, stdio: 'inherit' })
} finally {
  rmSync(parent, { recursive: true })
}
