// For node --import: each SIGUSR2 puts this process's clock four hours ahead, so that a test need not wait for things to get old.
const RealDate = Date
let ahead = 0
process.on('SIGUSR2', () => {
  ahead += 4 * 60 * 60 * 1_000
})
globalThis.Date = class extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + ahead)
    else super(...args)
  }
  static now() {
    return RealDate.now() + ahead
  }
}
