/** What the doctor looks at. Facts are gathered at the edge (a node, or the command line where none runs); judging is in checks.ts. */

/** A folder that the program writes to. */
export interface FolderFacts {
  readonly path: string;
  /** Why it cannot be written; undefined when it can. */
  readonly problem: string | undefined;
  /** Bytes that this user may still write there; undefined when the system does not say. */
  readonly freeBytes: number | undefined;
}

/** What is true of the machine, with a node or without. */
export interface MachineFacts {
  /** Such as `24.1.0`. */
  readonly nodeVersion: string;
  readonly memory: { readonly totalBytes: number; readonly freeBytes: number };
  readonly home: FolderFacts;
  /** Where the starter model lies. */
  readonly cache: FolderFacts;
  readonly logBytes: number;
}

/** An engine that runs models on this machine. */
export interface EngineFacts {
  /** Such as `ollama`; `none` where none was wanted. */
  readonly kind: string;
  readonly state: 'starting' | 'ready' | 'unreachable';
  readonly version: string;
  /** What the engine itself says to do. */
  readonly hint: string | undefined;
}

/** A peer that is connected, and that somebody has to accept first. */
export interface WaitingFacts {
  readonly name: string;
  /** Who has to: this node's user, the peer's, or both. */
  readonly waitsFor: 'here' | 'there' | 'both';
}

/** An address that the node was told to join through. */
export interface BootstrapFacts {
  readonly address: string;
  /** Whether the node behind is connected; undefined where the address does not name it. */
  readonly connected: boolean | undefined;
  /** It is connected, and somebody has to accept it first. */
  readonly waits: boolean;
}

/** The own account and the ledger, in a mesh that has credits. */
export interface CreditFacts {
  /** Whether this node signs entries. */
  readonly signing: 'starting' | 'ready' | 'stopped';
  /** Why it does not, in a sentence. */
  readonly reason: string | undefined;
  /** Whether this node, a witness, attests what others write; undefined where it is none. */
  readonly attesting: { readonly state: 'starting' | 'running' | 'stopped'; readonly reason?: string } | undefined;
  /** The place for which two entries of this account are known; undefined when there is none. */
  readonly ownFork: { readonly sequence: number; readonly isCut: boolean } | undefined;
  readonly witnesses: {
    readonly total: number;
    /** How many have to sign an entry before it can be final. */
    readonly quorum: number;
    /** Names of those that this node does not see; their ids where they have no name. */
    readonly missing: readonly string[];
  };
  /** What one payer gets booked here before his payment is final, such as `1 credit`; undefined where nothing is. */
  readonly bookedEarly: string | undefined;
}

/** What the ledger says of it; the rest is a setting. */
export type LedgerFacts = Omit<CreditFacts, 'bookedEarly'>;

/** What only a running node knows. Times are milliseconds. */
export interface NodeFacts {
  readonly engine: EngineFacts;
  readonly models: {
    readonly here: number;
    readonly inMesh: number;
    /** Models that are being fetched. */
    readonly coming: readonly string[];
  };
  /** Where the API answers. */
  readonly api: string;
  /** `api.host`: the address it listens on. */
  readonly apiHost: string;
  /** Whether that address stays on this machine. */
  readonly apiIsLocal: boolean;
  /** `api.require_key`: a question to a model needs the key even from this machine. */
  readonly apiRequiresKey: boolean;
  readonly network: {
    /** Multiaddrs under which others reach it; empty when it listens nowhere. */
    readonly addresses: readonly string[];
    /** The port that was asked for; 0 for any. */
    readonly wantedPort: number;
    /** The one it got. */
    readonly port: number | undefined;
  };
  readonly peers: {
    readonly admitted: number;
    readonly waiting: readonly WaitingFacts[];
    readonly bootstrap: readonly BootstrapFacts[];
  };
  /** Undefined in a mesh without credits. */
  readonly credits: CreditFacts | undefined;
  readonly clock: {
    /** For each peer: how far its clock was ahead of ours, by its newest signed statement. */
    readonly aheadMs: readonly number[];
    /** How far the wall clock moved, beyond the time that passed, since the node started. */
    readonly movedMs: number;
  };
}

/** A port that a node wants to listen on. */
export interface PortFacts {
  /** Such as `127.0.0.1:4301`. */
  readonly at: string;
  /** Free, in use by this program (`a GoGrid node`, `Ollama`, `another program`), or not to be had at all. */
  readonly state: 'free' | 'taken' | 'refused';
  readonly by: string | undefined;
}

/** What is looked at where no node runs. */
export interface AbsentFacts {
  /** Undefined when the last node ended in order, or none ever ran. */
  readonly diedAs: number | undefined;
  /** How to start one. */
  readonly startWith: string;
  /** Why the configuration is not accepted, with what to do; undefined when it is, and then the rest is known. */
  readonly config: { readonly problem: { readonly message: string; readonly hint: string | undefined } | undefined };
  readonly ports: readonly { readonly name: 'api.port' | 'network.port'; readonly facts: PortFacts }[];
  /** Undefined where no Ollama is wanted. */
  readonly ollama: { readonly url: string; readonly version: string | undefined } | undefined;
}
