import { readTime } from './timestamp.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
/** Postgres cannot index more than 2,704 bytes; a character takes up to four. */
const MAX_NAME = 600
const INT4_MAX = 2_147_483_647

export type Json = Record<string, unknown>

/** The value of a field: a value, an explicit null, or `undefined` when the payload lacks the key or has an unusable value. */
export type ReadValue<T> = T | null | undefined

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whether it is one of Buildkite's ids, which a row needs as its key. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value)
}

/**
 * Reads one payload field by field and records what was read, so that `rest()` returns everything else. A field of an unexpected type
 * is never an error: it counts as absent and is part of the rest. Paths lead into objects: `text('creator', 'name')`.
 */
export class PayloadReader {
  readonly #payload: Json
  /** Paths of the fields read, their keys joined by newlines. */
  readonly #taken = new Set<string>()
  /** Paths of the objects whose fields were read. */
  readonly #entered = new Set<string>()

  constructor(payload: Json) {
    this.#payload = payload
  }

  /** Text; converts numbers and booleans (in old captures a pull request's id is a number). */
  text(...path: string[]): ReadValue<string> {
    return this.#read(path, asText)
  }

  /** Text that an index can hold. A "branch" of megabytes is not a branch, and stays in the rest. */
  name(...path: string[]): ReadValue<string> {
    return this.#read(path, asName)
  }

  uuid(...path: string[]): ReadValue<string> {
    return this.#read(path, asUuid)
  }

  boolean(...path: string[]): ReadValue<boolean> {
    return this.#read(path, asBoolean)
  }

  /** An integer that fits a Postgres `integer`. */
  integer(...path: string[]): ReadValue<number> {
    return this.#read(path, asInteger)
  }

  /** An integer that JavaScript represents exactly. */
  bigint(...path: string[]): ReadValue<number> {
    return this.#read(path, asBigint)
  }

  time(...path: string[]): ReadValue<Date> {
    return this.#read(path, readTime)
  }

  /** Any JSON value. */
  json(...path: string[]): ReadValue<unknown> {
    return this.#read(path, asItIs)
  }

  /** A list of strings. */
  texts(...path: string[]): ReadValue<string[]> {
    return this.#read(path, asTexts)
  }

  /** Excludes a field from the rest. */
  skip(...path: string[]): void {
    this.#taken.add(columnKey(path))
  }

  /** The value at a path, without marking it as read. */
  peek(...path: string[]): unknown {
    let value: unknown = this.#payload
    for (const key of path) {
      if (!isObject(value) || !Object.hasOwn(value, key)) return undefined
      value = value[key]
    }
    return value
  }

  /** Everything that was not read: unknown keys, and known ones with a type that no column accepts. */
  rest(): Json {
    return this.#restOf(this.#payload, '')
  }

  #restOf(object: Json, prefix: string): Json {
    const rest: [string, unknown][] = []
    for (const key in object) {
      const value = object[key]
      const path = prefix + key
      if (value === undefined || this.#taken.has(path)) continue
      if (!isObject(value)) {
        rest.push([key, value])
        continue
      }
      const inner = this.#restOf(value, `${path}\n`)
      // Omitted if columns hold all of its fields. An object that was empty in the payload is kept.
      if (Object.keys(inner).length > 0 || !this.#entered.has(path)) rest.push([key, inner])
    }
    // Assigning a key `__proto__` would set the prototype.
    return Object.fromEntries(rest)
  }

  #read<T>(path: string[], convert: (value: unknown) => T | undefined): ReadValue<T> {
    const last = path.length - 1
    let object = this.#payload
    let entered = ''
    // `creator: null` means that every field of the creator is null.
    for (let depth = 0; depth < last; depth++) {
      entered = depth === 0 ? String(path[0]) : `${entered}\n${path[depth]}`
      const inner = own(object, path[depth])
      if (inner === null) {
        this.#taken.add(entered)
        return null
      }
      if (!isObject(inner)) return undefined
      this.#entered.add(entered)
      object = inner
    }
    const value = own(object, path[last])
    if (value === undefined) return undefined
    const converted = value === null ? null : convert(value)
    if (converted !== undefined) this.#taken.add(columnKey(path))
    return converted
  }
}

// Conversions. Top-level functions, because one page calls them a hundred thousand times.

function asText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function asName(value: unknown): string | undefined {
  return typeof value === 'string' && value.length <= MAX_NAME ? value : undefined
}

function asUuid(value: unknown): string | undefined {
  return isUuid(value) ? value.toLowerCase() : undefined
}

function asBoolean(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined
}

function asInteger(value: unknown): number | undefined {
  return wholeNumber(value, INT4_MAX)
}

function asBigint(value: unknown): number | undefined {
  return wholeNumber(value, Number.MAX_SAFE_INTEGER)
}

function asItIs(value: unknown): unknown {
  return value
}

function asTexts(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
}

function own(object: Json, key: string | undefined): unknown {
  return key !== undefined && Object.hasOwn(object, key) ? object[key] : undefined
}

function columnKey(path: readonly string[]): string {
  return path.length === 1 ? String(path[0]) : path.join('\n')
}

function wholeNumber(value: unknown, max: number): number | undefined {
  const number = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && Math.abs(number) <= max ? number : undefined
}
