/** Text that is HTML already and must not be escaped again. */
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

/** A template that escapes every value except markup. Undefined, null and false become nothing. */
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

/** Escapes text for HTML, including quoted attributes. */
export function escaped(value: string): string {
  return value.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
