import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The paths of a certificate and its key, in PEM. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** Certificates for servers on this machine, sound and faulty ones, made by openssl. */
export interface Certificates {
  /** The CA that signed all but `selfSigned`. */
  readonly ca: string
  /** A CA that signed none of them. */
  readonly otherCa: string
  readonly good: Certificate
  readonly expired: Certificate
  readonly wrongHost: Certificate
  readonly selfSigned: Certificate
  /** For a client. */
  readonly client: Certificate
  /** Writes another file beside them and returns its path. */
  write(name: string, content: string): Promise<string>
  remove(): Promise<void>
}

const here = 'subjectAltName=DNS:localhost,IP:127.0.0.1'

export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'bkm-certificates-'))
  const openssl = (args: string) => promisify(execFile)('openssl', args.split(' '), { cwd: folder })
  const newKey = '-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
  const file = (name: string): Certificate => ({ cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) })
  const selfSigned = async (name: string, more = '') => {
    await openssl(`req -x509 ${newKey} -keyout ${name}.key -out ${name}.pem -days 2 -subj /CN=${name} ${more}`.trim())
    return file(name)
  }
  const signed = async (name: string, names = here, days = 2) => {
    await openssl(`req -new ${newKey} -keyout ${name}.key -out ${name}.csr -subj /CN=${name} -addext ${names}`)
    await openssl(
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -days ${days} -copy_extensions copyall -out ${name}.pem`,
    )
    return file(name)
  }
  const ca = await selfSigned('ca')
  const otherCa = await selfSigned('other-ca')
  return {
    ca: ca.cert,
    otherCa: otherCa.cert,
    good: await signed('good'),
    expired: await signed('expired', here, -1),
    wrongHost: await signed('wrong-host', 'subjectAltName=DNS:db.example.com'),
    selfSigned: await selfSigned('self-signed', `-addext ${here}`),
    client: await signed('client'),
    async write(name, content) {
      const path = join(folder, name)
      await writeFile(path, content)
      return path
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
