import { type Api, type ApiOptions, demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation, type SimulationOptions } from '../../src/simulator/simulation.ts'

export type Json = Record<string, unknown>

/** A simulation with its API, and ways to ask it. */
export interface Asking {
  readonly simulation: Simulation
  readonly api: Api
  /** The response for a path below the organization's address; `token` is the token's text. */
  ask(path: string, token?: string, method?: string): Promise<Response>
  /** The list that a path answers with. */
  list(path: string, token?: string): Promise<Json[]>
  /** Its status. */
  status(path: string, token?: string): Promise<number>
}

export async function openAsking(options: SimulationOptions = {}, apiOptions: ApiOptions = {}): Promise<Asking> {
  const simulation = createSimulation({ seed: 5, ...options })
  const api = await simulation.startApi(apiOptions)
  const asking: Asking = {
    simulation,
    api,
    ask: (path, token = demoToken.token, method = 'GET') =>
      fetch(`${api.url}/organizations/acme${path}`, { method, headers: { Authorization: `Bearer ${token}` } }),
    async list(path, token) {
      const response = await asking.ask(path, token)
      if (response.status !== 200) throw new Error(`${path} answers ${response.status}.`)
      return JSON.parse(await response.text())
    },
    status: async (path, token) => {
      const response = await asking.ask(path, token)
      await response.arrayBuffer()
      return response.status
    },
  }
  return asking
}

export const idsOf = (list: readonly object[]): string[] => list.map((one) => String((one as Json).id)).sort()
