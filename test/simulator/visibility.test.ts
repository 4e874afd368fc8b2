import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import type { Pipeline } from '../../src/simulator/model/shapes.ts'
import { type Asking, idsOf, openAsking } from './ask.ts'

const other = { ...demoToken, token: 'other-token', user: 'bo', uuid: '0198f3c1-0000-7000-8000-000000000002' }

let asking: Asking
let pipeline: Pipeline

beforeEach(async () => {
  asking = await openAsking({ record: true }, { tokens: [demoToken, other] })
  const [first] = asking.simulation.truth.pipelines
  if (!first) throw new Error('no pipeline')
  pipeline = first
  asking.simulation.writeHistory({ builds: 40, days: 3 })
})
afterEach(() => asking.simulation.stop())

const others = () => asking.simulation.truth.builds.filter((build) => build.pipeline !== pipeline)

describe('a pipeline that is hidden', () => {
  test('is in no list, nor are its builds, and answers 404', async () => {
    asking.simulation.hide(pipeline)
    expect(idsOf(await asking.list('/pipelines'))).not.toContain(pipeline.id)
    expect(idsOf(await asking.list('/builds?per_page=100'))).toEqual(idsOf(others()))
    expect(await asking.status(`/pipelines/${pipeline.slug}`)).toBe(404)
    expect(await asking.status(`/pipelines/${pipeline.slug}/builds`)).toBe(404)
    expect(await asking.status(`/pipelines/${pipeline.slug}/builds/1`)).toBe(404)
    const job = asking.simulation.truth.builds.find((build) => build.pipeline === pipeline)?.jobs[0]
    expect(await asking.status(`/jobs/${job?.id}`)).toBe(404)
  })

  test('continues its history meanwhile, and all of it is visible when the pipeline comes back', async () => {
    asking.simulation.hide(pipeline)
    asking.simulation.startBuild({ pipeline })
    asking.simulation.writeHistory({ builds: 5, days: 1, pipelines: [pipeline] })
    await asking.simulation.play()
    asking.simulation.show(pipeline)
    const listed = await asking.list('/builds?per_page=100')
    expect(idsOf(listed)).toEqual(idsOf(asking.simulation.truth.builds))
    expect(listed.length).toBeGreaterThanOrEqual(46)
  })

  test('may be hidden from one token alone', async () => {
    asking.simulation.hide(pipeline, other)
    expect(await asking.status(`/pipelines/${pipeline.slug}`, other.token)).toBe(404)
    expect(idsOf(await asking.list('/builds?per_page=100', other.token))).toEqual(idsOf(others()))
    expect(idsOf(await asking.list('/builds?per_page=100'))).toEqual(idsOf(asking.simulation.truth.builds))
    asking.simulation.show(pipeline, other)
    expect(await asking.status(`/pipelines/${pipeline.slug}`, other.token)).toBe(200)
  })

  test('was visible before and is visible afterwards, also in past states', () => {
    const { clock, truth } = asking.simulation
    const start = clock.now()
    clock.pass(1_000)
    asking.simulation.hide(pipeline, other)
    clock.pass(1_000)
    asking.simulation.show(pipeline, other)
    const visible = [0, 999, 1_000, 1_999, 2_000].map((ms) => truth.at(start + ms).isVisible(pipeline, other.token))
    expect(visible).toEqual([true, true, false, false, true])
    expect(truth.at(start + 1_500).isVisible(pipeline, demoToken.token)).toBe(true)
  })
})
