import { livelyMix, type Mix } from '../../src/simulator/probabilities.ts'

/** More of everything that is difficult for a mirror. */
export const wildMix: Mix = {
  ...livelyMix,
  fail: 0.3,
  lost: 0.3,
  retry: 0.7,
  block: 0.35,
  trigger: 0.2,
  cancel: 0.06,
  skip: 0.04,
  notRun: 0.04,
  broken: 0.1,
  rebuild: 0.1,
  timeOut: 0.2,
  expire: 0.03,
  keepFinish: 0.4,
}
