import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'

const kustomization = z.strictObject({
  apiVersion: z.string(),
  kind: z.literal('Kustomization'),
  namespace: z.string(),
  resources: z.array(z.string()),
  images: z.array(z.strictObject({ name: z.string(), newName: z.string(), newTag: z.string() })),
})

const kubernetesObject = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
})
export type KubernetesObject = z.output<typeof kubernetesObject>

/** The objects of YAML text with any number of documents. */
export const readObjects = (text: string): KubernetesObject[] =>
  parseAllDocuments(text).map((one) => kubernetesObject.parse(one.toJS()))

/** What `kubectl kustomize` renders, for the fields of a kustomization that ours uses. */
export function renderKustomization(folder: string): KubernetesObject[] {
  const read = (name: string) => readFileSync(join(folder, name), 'utf8')
  const { namespace, resources, images } = kustomization.parse(parse(read('kustomization.yaml')))
  return resources.flatMap((name) => {
    let text = read(name)
    for (const { name: image, newName, newTag } of images) {
      text = text.replaceAll(new RegExp(`\\bimage: ${image}$`, 'gm'), `image: ${newName}:${newTag}`)
    }
    return readObjects(text).map((one) =>
      one.kind === 'Namespace' ? one : { ...one, metadata: { ...one.metadata, namespace } },
    )
  })
}
