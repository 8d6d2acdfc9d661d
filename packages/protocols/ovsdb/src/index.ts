// Errors
export {
  OvsdbError,
  type OvsdbErrorCode,
  type OvsdbErrorDetails,
  type OvsdbErrorOptions,
} from "./ovsdb-error.ts";
