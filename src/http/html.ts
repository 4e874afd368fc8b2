/** Text that is HTML already: nothing in it is to be escaped again. */
export class Markup {
  readonly source: string
  constructor(source: string) {
    this.source = source
  }
  toString(): string {
    return this.source
  }
}

export type Part = Markup | string | number | null | undefined | false | readonly Part[]

/** A template whose every value is escaped, unless it is markup itself; nothing, null and false leave no trace. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Markup {
  return new Markup(
    strings.map((text, index) => text + (index < values.length ? sourceOf(values[index]) : '')).join(''),
  )
}

function sourceOf(part: Part): string {
  if (part === null || part === undefined || part === false) return ''
  if (part instanceof Markup) return part.source
  if (typeof part === 'object') return part.map(sourceOf).join('')
  return escaped(String(part))
}

/** Text as it may stand in HTML, within a quoted attribute too. */
export function escaped(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
