import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

const read = (path: string) => parse(readFileSync(new URL(`../docs/deploy/${path}`, import.meta.url), 'utf8'))

const matcher = z.string().transform((text, context) => {
  const [, name = '', operator = '', value = ''] = /^(\w+)(=~|!=|=)"([^"]+)"$/.exec(text) ?? []
  if (name === '') context.addIssue(`${text} is not a matcher.`)
  const pattern = new RegExp(`^(${value})$`)
  return (labels: Readonly<Record<string, string>>) => {
    const given = labels[name] ?? ''
    if (operator === '=~') return pattern.test(given)
    return (given === value) === (operator === '=')
  }
})
const matchers = z.array(matcher).min(1)
const config = z
  .strictObject({
    route: z.looseObject({
      receiver: z.string(),
      routes: z.array(z.looseObject({ matchers, receiver: z.string() })),
    }),
    receivers: z.array(z.looseObject({ name: z.string() })),
    inhibit_rules: z.array(
      z.strictObject({
        source_matchers: matchers,
        target_matchers: matchers,
        equal: z.array(z.string()).default([]),
      }),
    ),
  })
  .parse(read('alertmanager/alertmanager.yml'))
const alerts = z
  .object({
    groups: z.array(
      z.object({ rules: z.array(z.object({ alert: z.string(), labels: z.object({ severity: z.string() }) })) }),
    ),
  })
  .parse(read('prometheus/alerts.yml'))
  .groups.flatMap(({ rules }) => rules)
  .map(({ alert, labels }) => ({ alertname: alert, ...labels }))

describe('docs/deploy/alertmanager', () => {
  it('sends critical alerts to the pager and all others to the tickets', () => {
    const receiverOf = (labels: Record<string, string>) =>
      config.route.routes.find((one) => one.matchers.every((matches) => matches(labels)))?.receiver ??
      config.route.receiver
    expect(config.receivers.map(({ name }) => name).sort()).toEqual(['pager', 'tickets'])
    expect(alerts.length).toBeGreaterThan(10)
    for (const labels of alerts) {
      expect([labels.alertname, receiverOf(labels)]).toEqual([
        labels.alertname,
        labels.severity === 'critical' ? 'pager' : 'tickets',
      ])
    }
  })

  const muted = (source: Record<string, string>, target: Record<string, string>) =>
    config.inhibit_rules.some(
      (rule) =>
        rule.source_matchers.every((matches) => matches(source)) &&
        rule.target_matchers.every((matches) => matches(target)) &&
        rule.equal.every((label) => (source[label] ?? '') === (target[label] ?? '')),
    )

  it('names only alerts that exist, and mutes no alert by itself', () => {
    const text = readFileSync(new URL('../docs/deploy/alertmanager/alertmanager.yml', import.meta.url), 'utf8')
    const named = [...text.matchAll(/alertname(?:=~|!=|=)"([^"]+)"/g)].flatMap(([, names = '']) => names.split('|'))
    const known = alerts.map(({ alertname }) => alertname)
    expect(named.filter((name) => !known.includes(name))).toEqual([])
    for (const labels of alerts) expect([labels, muted(labels, labels)]).toEqual([labels, false])
  })

  it('a store that is down mutes what follows from it, but no loss of data', () => {
    const down = { alertname: 'StoreDown', severity: 'critical' }
    expect(muted(down, { alertname: 'OldestDeliveryWaiting', severity: 'critical' })).toBe(true)
    expect(muted(down, { alertname: 'WebhooksLost', severity: 'warning' })).toBe(false)
    const gone = { alertname: 'ServiceDown', instance: 'a:8081' }
    expect(muted(gone, { alertname: 'EventLoopBlocked', instance: 'a:8081' })).toBe(true)
    expect(muted(gone, { alertname: 'EventLoopBlocked', instance: 'b:8081' })).toBe(false)
    expect(muted(gone, { alertname: 'MirrorLags', organization: 'acme' })).toBe(false)
  })

  it('holds no key and no URL', () => {
    const fields = config.receivers.flatMap(({ name: _, ...kinds }) => Object.values(kinds).flat())
    expect(fields.length).toBe(2)
    expect(JSON.stringify(fields)).not.toMatch(/https?:|"(routing_key|api_url|url)"/)
    expect(JSON.stringify(fields)).toMatch(/routing_key_file.*api_url_file/)
  })
})
