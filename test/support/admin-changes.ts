import { DAY } from '../../src/runtime/time.ts'
import { iso } from '../../src/simulator/model/shapes.ts'
import type { Truth } from '../../src/simulator/model/state.ts'

const acts = [
  'rename',
  'archive',
  'add',
  'hide',
  'show',
  'edit',
  'delete build',
  'delete pipeline',
  'retention',
] as const

/** A change by people or by Buildkite that sends no webhook. */
export type Upheaval = (typeof acts)[number]

/** Makes one random change at `at` (milliseconds since the epoch) and returns it; undefined when there was nothing to change. */
export function upheave(truth: Truth, at: number): Upheaval | undefined {
  const act = truth.random.pick(acts)
  return perform(truth, act, at) ? act : undefined
}

function perform(truth: Truth, act: Upheaval, at: number): boolean {
  const { random } = truth
  const organization = random.choose(truth.organizations)
  if (!organization) return false
  const pipelines = truth.pipelinesOf(organization)
  const usable = pipelines.filter((one) => !one.archived_at && !truth.hidden.has(one))
  const pipeline = random.choose(usable)
  const finished = truth.buildsOf(organization).filter((build) => build.finished_at !== null && !truth.alive.has(build))
  const build = random.choose(finished)
  switch (act) {
    case 'add':
      truth.addPipeline(organization, at)
      return true
    case 'show': {
      const [hidden] = truth.hidden
      return hidden !== undefined && truth.hidden.delete(hidden)
    }
    case 'edit':
      if (build) truth.edit(build, { message: `Edited at ${iso(at)}`, meta_data: { edited: iso(at) } }, at)
      return build !== undefined
    case 'delete build':
      if (build) truth.deleteBuild(build, at)
      return build !== undefined
    case 'retention':
      return expire(truth, iso(at - 30 * DAY), at)
  }
  if (!pipeline || usable.length < 2) return false
  if (act === 'rename') truth.renamePipeline(pipeline, `${pipeline.name} II`, `${pipeline.slug}-${random.hex(4)}`, at)
  else if (act === 'archive') truth.archivePipeline(pipeline, at)
  else if (act === 'hide') truth.hidden.add(pipeline)
  else truth.deletePipeline(pipeline, at)
  return true
}

/** Removes every finished build created before `time`. */
function expire(truth: Truth, time: string, at: number): boolean {
  const old = truth.builds.filter((build) => build.created_at < time && !truth.alive.has(build))
  for (const build of old) truth.deleteBuild(build, at)
  return old.length > 0
}
