import type { Random } from '../../src/simulator/random.ts'
import { nasty, nastyDate, nastyNumber, prototypeKeys, RawJson } from './nasty.ts'

type Container = Record<string, unknown> | unknown[]

/** A place in a value: `container[key]`. */
interface Slot {
  container: Container
  key: string
}

/** Keys to be written a second time, with another value, by the object that has them. */
type Doubled = Map<object, [string, unknown][]>

/**
 * Real JSON with some of it gone wrong: values of other types, missing, doubled and hostile keys, numbers and dates out of range, deep
 * nesting, long text; and sometimes bytes that are no JSON any more. The same random source gives the same bytes.
 */
export function mutate(base: unknown, random: Random): Buffer {
  const { value, doubled } = mutateValue(base, random)
  const bytes = Buffer.from(write(value, doubled))
  return random.chance(0.06) ? damage(bytes, random) : bytes
}

/** The same, but always a whole JSON text. */
export function mutateText(base: unknown, random: Random): string {
  const { value, doubled } = mutateValue(base, random)
  return write(value, doubled)
}

function mutateValue(base: unknown, random: Random): { value: unknown; doubled: Doubled } {
  const root: { value: unknown } = { value: structuredClone(base) }
  const doubled: Doubled = new Map()
  const slots: Slot[] = []
  collect(root, slots)
  const count = random.chance(0.05) ? 0 : random.int(1, 6)
  for (let i = 0; i < count; i++) {
    // The root itself only now and then, for nothing of the shape is left then.
    const slot = random.chance(0.01) ? slots[0] : (slots[random.int(1, slots.length - 1)] ?? slots[0])
    if (slot) change(slot, slots, doubled, random)
  }
  return { value: root.value, doubled }
}

function collect(container: Container, slots: Slot[]): void {
  for (const [key, value] of Object.entries(container)) {
    slots.push({ container, key })
    if (isContainer(value)) collect(value, slots)
  }
}

function change(slot: Slot, slots: readonly Slot[], doubled: Doubled, random: Random): void {
  const before = get(slot)
  const kind = random.int(0, 99)
  if (kind < 45) set(slot, fitting(slot.key, before, random))
  else if (kind < 55) set(slot, undefined)
  else if (kind < 68) set(slot, copyOf(get(random.choose(slots) ?? slot)))
  else if (kind < 76) set(slot, random.chance(0.5) ? [before] : { [slot.key]: before })
  else if (kind < 88) {
    const pairs = doubled.get(slot.container) ?? []
    pairs.push([random.chance(0.6) ? slot.key : random.pick(prototypeKeys), nasty(random)])
    doubled.set(slot.container, pairs)
  } else if (typeof before === 'string') {
    const at = random.int(0, before.length)
    const odd = random.pick(['\0', '\ud83d', '%', '/', '😀'])
    set(slot, before.slice(0, at) + odd + before.slice(at))
  } else set(slot, nasty(random))
}

/** Something wrong, more often than not of the kind that hurts most just here. */
function fitting(key: string, before: unknown, random: Random): unknown {
  if (random.chance(0.5) && /_at$|date/.test(key)) return nastyDate(random)
  if (random.chance(0.5) && typeof before === 'number') return nastyNumber(random)
  return nasty(random)
}

function get({ container, key }: Slot): unknown {
  return Array.isArray(container) ? container[Number(key)] : container[key]
}

function set({ container, key }: Slot, value: unknown): void {
  if (Array.isArray(container)) container[Number(key)] = value
  else container[key] = value
}

/** As text, for it may be too deep for a copy, and a value that holds itself could not be written. */
function copyOf(value: unknown): unknown {
  return isContainer(value) ? new RawJson(write(value, new Map())) : value
}

const isContainer = (value: unknown): value is Container =>
  typeof value === 'object' && value !== null && !(value instanceof RawJson)

function write(value: unknown, doubled: Doubled): string {
  if (value instanceof RawJson) return value.text
  if (!isContainer(value)) return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map((item) => write(item, doubled)).join(',')}]`
  const pairs = [...Object.entries(value), ...(doubled.get(value) ?? [])]
  const written = pairs.filter(([, inner]) => inner !== undefined)
  return `{${written.map(([key, inner]) => `${JSON.stringify(key)}:${write(inner, doubled)}`).join(',')}}`
}

/** Bytes cut off, flipped, put in: no JSON, or another one, or no UTF-8. */
function damage(bytes: Buffer, random: Random): Buffer {
  const at = random.int(0, bytes.length)
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)]
  switch (random.int(0, 6)) {
    case 0:
    case 1:
      return head
    case 2:
      return Buffer.concat([head, Buffer.from([random.int(0, 255)]), tail.subarray(1)])
    case 3:
      return Buffer.concat([head, Buffer.from([0xff, 0xc0, 0x00]), tail])
    case 4:
      return Buffer.concat([Buffer.from('\ufeff'), bytes])
    case 5:
      return Buffer.concat([bytes, bytes])
    default:
      return Buffer.from(random.pick(['', 'null', '[]', '1', '"text"', '{', '{}', '\0', '[{}]']))
  }
}
