/** Maximum size of a group: number of deliveries, and characters of payload. */
export interface GroupLimit {
  readonly deliveries: number
  readonly chars: number
}

/** Removes the next group from the front of `waiting`; at least one delivery, if there is one. */
export function takeGroup<T>(waiting: T[], limit: GroupLimit, sizeOf: (one: T) => GroupLimit): T[] {
  let deliveries = 0
  let chars = 0
  const end = waiting.findIndex((one, index) => {
    const size = sizeOf(one)
    deliveries += size.deliveries
    chars += size.chars
    return index > 0 && (deliveries > limit.deliveries || chars > limit.chars)
  })
  return waiting.splice(0, end === -1 ? waiting.length : end)
}
