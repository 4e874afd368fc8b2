import { addPageResults, nothingFound, type PageReport, type Refused } from '../builds/build-writer.ts'

/** What a cycle has read and found so far. */
export class Tally {
  requests = 0
  builds_read = 0
  /** Builds that were read individually, because they were in no list. */
  unlisted_read = 0
  results = nothingFound
  readonly refused: Refused[] = []

  add(page: PageReport): void {
    this.requests += page.requests
    this.builds_read += page.read
    this.refused.push(...page.refused)
    this.results = addPageResults(this.results, page.results)
  }

  /**
   * As columns of sync.cycles; see ReadResult for the results. A first cycle, and any cycle of an organization without webhooks, has no
   * missing or healed rows: no webhook was lost, so what REST added counts as completed.
   */
  columns() {
    const { builds, jobs } = this.results
    return {
      requests: this.requests,
      builds_read: this.builds_read,
      builds_missing: builds.missing,
      builds_healed: builds.healed,
      builds_in_flight: builds.in_flight,
      builds_completed: builds.completed,
      builds_confirmed: builds.confirmed,
      jobs_missing: jobs.missing,
      jobs_healed: jobs.healed,
      jobs_in_flight: jobs.in_flight,
      jobs_completed: jobs.completed,
      jobs_confirmed: jobs.confirmed,
      unlisted_read: this.unlisted_read,
    }
  }
}

export type TallyColumns = Readonly<ReturnType<Tally['columns']>>
