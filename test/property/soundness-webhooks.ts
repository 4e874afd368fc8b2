import { createHash } from 'node:crypto'
import { deliveries } from '../../src/database/schema.ts'
import { SECOND } from '../../src/runtime/time.ts'
import type { Change } from '../../src/simulator/model/shapes.ts'
import type { Random } from '../../src/simulator/random.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import type { Home } from './soundness-database.ts'
import type { Service } from './soundness-service.ts'
import type { World } from './soundness-world.ts'

interface Signed {
  readonly event: string
  readonly body: string
  /** Whole seconds: a signature knows no finer. */
  readonly at: number
}

/** Webhooks; some are lost, late, duplicated or out of order. They go through the inbox, as in the service. */
export class LossyWebhooks {
  readonly #world: World
  readonly #home: Home
  readonly #service: Service
  readonly #random: Random
  readonly #changes: Change[] = []
  readonly #signed: Signed[] = []
  readonly #sender = { id: 'sender', name: 'Sender' }
  #count = 0
  delivered = 0

  constructor(world: World, home: Home, service: Service) {
    this.#world = world
    this.#home = home
    this.#service = service
    this.#random = world.random
    world.truth.onChange((change) => this.#changes.push(change))
  }

  /** Delivers a share of what was not delivered yet, in any order; some twice. The rest stays to be late, or is lost. */
  async deliver(share: number): Promise<void> {
    // Rendered at dispatch: a body may show a later state than that of its event.
    const at = Math.floor(this.#world.now() / SECOND) * SECOND
    for (const { event, ...change } of this.#changes.splice(0)) {
      const body = JSON.stringify(renderChange(this.#world.truth, { event, ...change }, this.#sender))
      this.#signed.push({ event, body, at })
    }
    const chosen = this.#signed.filter(() => this.#random.chance(share))
    if (chosen.length === 0) return
    const lost = (one: Signed) => chosen.includes(one) && !this.#random.chance(0.1)
    const left = this.#signed.filter((one) => !lost(one))
    this.#signed.splice(0, this.#signed.length, ...left.slice(-40))
    for (let i = chosen.length - 1; i > 0; i--) {
      const j = this.#random.int(0, i)
      const [a, b] = [chosen[i], chosen[j]]
      if (a && b && this.#random.chance(0.3)) [chosen[i], chosen[j]] = [b, a]
    }
    const now = new Date(this.#world.wall())
    await this.#home.database.db.insert(deliveries).values(
      chosen.map(({ event, body, at: signedAt }) => ({
        key: createHash('sha256')
          .update(`${this.#count++}`)
          .digest('hex'),
        event,
        request_id: null,
        received_at: now,
        observed_at: new Date(signedAt),
        payload: body,
      })),
    )
    const { db, log, clock, filter, storeEnv } = this.#service.deps
    await deliveryHandler({ db, log, clock, filter, storeEnv })({ ids: [] })
    this.delivered += chosen.length
  }
}
