import { isObject, type Json } from '../../buildkite/payload-reader.ts'
import { redact } from '../../buildkite/redact.ts'

/**
 * The most values in one payload: keys of objects and items of lists. Buildkite's webhooks have about 150; meta-data adds one for each
 * key. A payload of 10 MiB can have five million, and reading those would stop every other request for seconds.
 */
export const MAX_VALUES = 50_000

/** A payload that is safe to store, as object and as JSON text; or why there is none, in a sentence without its content. */
export type ReadPayload =
  | { readonly ok: true; readonly payload: Json; readonly text: string }
  | { readonly ok: false; readonly reason: 'not_an_object' | 'too_many_values'; readonly error: string }

/** Reads a webhook's body: counts before it parses, and removes secrets. Pure. */
export function readPayload(raw: Buffer, options: { storeEnv: boolean }): ReadPayload {
  const values = countValues(raw)
  if (values > MAX_VALUES) {
    const error = `The payload has ${values} values, more than ${MAX_VALUES}. It was not stored; the API has its data.`
    return { ok: false, reason: 'too_many_values', error }
  }
  const safe = redact(parse(raw), options)
  if (!isObject(safe)) return { ok: false, reason: 'not_an_object', error: 'The body is not a JSON object.' }
  return { ok: true, payload: safe, text: JSON.stringify(safe) }
}

const [QUOTE, BACKSLASH, COMMA, BRACE, BRACKET] = [0x22, 0x5c, 0x2c, 0x7b, 0x5b]

/** How many values JSON has, at most one too many for each object or list. Takes about 2 ms for each MiB, whatever it contains. */
export function countValues(json: Uint8Array): number {
  let values = 1
  let inString = false
  for (let index = 0; index < json.length; index++) {
    const byte = json[index]
    if (inString) {
      if (byte === BACKSLASH) index++
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === COMMA || byte === BRACE || byte === BRACKET) values++
  }
  return values
}

function parse(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8'))
  } catch {
    return undefined
  }
}
