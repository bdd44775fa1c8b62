/**
 * The calls the delivery makes, and what their answers say, in the core's own terms: amounts in units, days as
 * local dates, value types by name. `exist/` puts them into Exist's JSON.
 */
import type { ValueType } from '../attribute.ts';
import type { LocalDate } from '../time.ts';
import type { Units } from '../units.ts';

/** One item of a write. `name` is the attribute's name at Exist. */
export interface WriteItem {
  readonly attribute: string;
  readonly name: string;
  readonly day: LocalDate;
  readonly value: Units | string;
}

export type Request =
  | { readonly kind: 'profile' }
  | { readonly kind: 'owned'; readonly page: number }
  | { readonly kind: 'acquire'; readonly items: readonly AcquireItem[] }
  | { readonly kind: 'create'; readonly items: readonly CreateItem[] }
  | {
      readonly kind: 'read';
      /** The keys to judge by the answer. */
      readonly items: readonly {
        readonly attribute: string;
        readonly name: string;
        readonly day: LocalDate;
      }[];
      /** 1 to 31, counted back from `dateMax`. */
      readonly days: number;
      readonly dateMax: LocalDate;
    }
  | { readonly kind: 'increment'; readonly items: readonly WriteItem[] }
  | { readonly kind: 'update'; readonly items: readonly WriteItem[] };

export interface AcquireItem {
  readonly attribute: string;
  readonly by: 'template' | 'name';
  readonly name: string;
}

export interface CreateItem {
  readonly attribute: string;
  readonly label: string;
  readonly group: string;
  readonly valueType: ValueType;
}

export interface AttributeSeen {
  readonly name: string;
  readonly label: string;
  readonly template: string | null;
  /** `undefined` for a type Exist added since. */
  readonly valueType: ValueType | undefined;
  readonly manual: boolean;
}

export interface Failure {
  readonly code: string;
  /** Exist's own words. */
  readonly message: string;
}

/** Success and failure of `acquire` and `create`, in the order of the request; `null`: in neither list. */
export type OwnershipResult = { readonly seen: AttributeSeen } | { readonly failure: Failure } | null;

/** One item of a write, as the answer lists it. */
export interface WriteSuccess {
  readonly name: string;
  readonly day: LocalDate | undefined;
  /** The day's new total after `increment`. */
  readonly current: Units | undefined;
}

export interface WriteFailure extends Failure {
  readonly name: string | undefined;
  readonly day: LocalDate | undefined;
}

export type Answer =
  | { readonly kind: 'profile'; readonly timezone: string }
  | {
      readonly kind: 'owned';
      readonly attributes: readonly AttributeSeen[];
      readonly nextPage: number | null;
    }
  | { readonly kind: 'ownership'; readonly results: readonly OwnershipResult[] }
  | {
      readonly kind: 'read';
      /** By name at Exist; an attribute that is absent was not shown to us. Days without data are `null`. */
      readonly values: ReadonlyMap<string, ReadonlyMap<LocalDate, Units | string | null>>;
    }
  | {
      readonly kind: 'written';
      readonly success: readonly WriteSuccess[];
      readonly failed: readonly WriteFailure[];
    };

/** Whether the call changes a day's value. */
export function isWrite(
  request: Request,
): request is Extract<Request, { readonly kind: 'increment' | 'update' }> {
  return request.kind === 'increment' || request.kind === 'update';
}
