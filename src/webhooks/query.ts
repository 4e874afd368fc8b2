import { asStoreError } from '../database/connection.ts'

/** Runs a query, and says what we were doing when it fails. @throws StoreError */
export async function asked<T>(doing: string, query: () => Promise<T>): Promise<T> {
  try {
    return await query()
  } catch (error) {
    throw asStoreError(error, doing)
  }
}
