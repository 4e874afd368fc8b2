// Replaces psql if it is not installed: `psql <url> -c <query>` prints the rows as psql does.
import postgres from 'postgres'

const [url = '', , query = ''] = process.argv.slice(2)
const sql = postgres(url, { max: 1, onnotice: () => {} })
const rows = await sql.unsafe(query).values()
await sql.end({ timeout: 1 })
const numeric = new Set([20, 21, 23, 700, 701, 1700])
const columns = rows.columns.map(({ name, type }, index) => {
  const cells = rows.map((row) => String(row[index] ?? ''))
  return { name, cells, right: numeric.has(type), width: Math.max(name.length, ...cells.map((cell) => cell.length)) }
})
const centered = ({ name, width }) => name.padStart(name.length + Math.floor((width - name.length) / 2)).padEnd(width)
const lines = [
  columns.map(centered),
  ...rows.map((_, row) =>
    columns.map(({ cells, right, width }) => (right ? cells[row].padStart(width) : cells[row].padEnd(width))),
  ),
].map((cells) => ` ${cells.join(' | ')}`.trimEnd())
lines.splice(1, 0, columns.map(({ width }) => '-'.repeat(width + 2)).join('+'))
process.stdout.write(`${lines.join('\n')}\n(${rows.length} ${rows.length === 1 ? 'row' : 'rows'})\n\n`)
