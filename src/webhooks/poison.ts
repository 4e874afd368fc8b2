import { StoreError } from '../runtime/errors.ts'

/** Whether the data is at fault, not the database's availability, schema or permissions (SQLSTATE class 42, 3D, 3F, 28). */
export function isPoison(error: unknown): boolean {
  if (!(error instanceof StoreError)) return true
  return error.kind === 'permanent' && !/^(42|3D|3F|28)/.test(error.code ?? '')
}
