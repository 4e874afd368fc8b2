import { asStoreError } from '../database/connection.ts'

/** Runs a query. An error says what it was for, in `doing`. @throws StoreError */
export async function withStoreError<T>(doing: string, query: () => Promise<T>): Promise<T> {
  try {
    return await query()
  } catch (error) {
    throw asStoreError(error, doing)
  }
}
