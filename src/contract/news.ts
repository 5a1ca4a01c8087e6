/** What a person at the terminal of a node hears of while it runs: said by the node, printed by `gogrid up`. */

/** Something that happened to the node; its names come from other machines. */
export type News =
  | { readonly type: 'engine-ready'; readonly kind: string; readonly version: string }
  /** This machine runs these now, and did not before. */
  | { readonly type: 'models'; readonly names: readonly string[] }
  | { readonly type: 'peer-joined'; readonly name: string; readonly models: readonly string[]; readonly first: boolean }
  | { readonly type: 'peer-left'; readonly name: string; readonly last: boolean }
  | {
      readonly type: 'peer-waiting';
      /** Its peer id. */
      readonly id: string;
      readonly name: string;
      readonly words: string | undefined;
    };
