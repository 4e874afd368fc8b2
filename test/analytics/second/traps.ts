import type { Random } from '../../../src/simulator/random.ts'
import type { Simulation } from '../../../src/simulator/simulation.ts'

/** Changes of builds, jobs and pipelines that the simulator does not make by itself, and that only REST shows. */
export function setTraps(_simulation: Simulation, _random: Random): void {}
