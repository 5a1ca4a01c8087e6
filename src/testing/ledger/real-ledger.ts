/** The ledger of the program, as the properties drive it. */

import { Books } from '../../ledger/books/books.ts';
import { Ledger } from '../../ledger/books/ledger.ts';
import type { MakeLedger } from './driver.ts';

export const makeLedger: MakeLedger = (mesh, { final, ...options } = {}) =>
  new Ledger(mesh, { ...options, ...(final !== undefined && { final: Books.decode(final, mesh) }) });
