/** The numbers of the NBD protocol (`doc/proto.md` of the NBD project, "Values"). */

// Magics, each as the two 32-bit halves in which they are compared.
export const NBD_MAGIC_HIGH = 0x4e42444d; // "NBDM"
export const NBD_MAGIC_LOW = 0x41474943; // "AGIC"
export const OPTION_MAGIC_HIGH = 0x49484156; // "IHAV"
export const OPTION_MAGIC_LOW = 0x454f5054; // "EOPT"
export const OPTION_REPLY_MAGIC_HIGH = 0x0003e889;
export const OPTION_REPLY_MAGIC_LOW = 0x045565a9;
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;

// Sizes in bytes.
export const REQUEST_BYTES = 28;
export const SIMPLE_REPLY_BYTES = 16;
export const STRUCTURED_REPLY_BYTES = 20;
export const OPTION_HEADER_BYTES = 16;
export const OPTION_REPLY_BYTES = 20;
export const GREETING_BYTES = 18;
export const MAX_STRING_BYTES = 4096;
/** The largest payload that every implementation takes ("Block size constraints"). */
export const MAX_PAYLOAD_BYTES: number = 32 * 1024 * 1024;

// Handshake flags; the client's have the same bits.
export const FLAG_FIXED_NEWSTYLE = 1;
export const FLAG_NO_ZEROES = 2;

// Transmission flags.
export const FLAG_HAS_FLAGS: number = 1 << 0;
export const FLAG_READ_ONLY: number = 1 << 1;
export const FLAG_SEND_FLUSH: number = 1 << 2;
export const FLAG_SEND_FUA: number = 1 << 3;
export const FLAG_SEND_TRIM: number = 1 << 5;
export const FLAG_SEND_WRITE_ZEROES: number = 1 << 6;
export const FLAG_SEND_DF: number = 1 << 7;
export const FLAG_CAN_MULTI_CONN: number = 1 << 8;
/** Of the extension `RESIZE`, which is not final; the document reserves its numbers. */
export const FLAG_SEND_RESIZE: number = 1 << 9;
export const FLAG_SEND_CACHE: number = 1 << 10;
export const FLAG_SEND_FAST_ZERO: number = 1 << 11;

// Options.
export const OPT_EXPORT_NAME = 1;
export const OPT_ABORT = 2;
export const OPT_LIST = 3;
export const OPT_STARTTLS = 5;
export const OPT_INFO = 6;
export const OPT_GO = 7;
export const OPT_STRUCTURED_REPLY = 8;
export const OPT_LIST_META_CONTEXT = 9;
export const OPT_SET_META_CONTEXT = 10;

// Option replies.
export const REP_ACK = 1;
export const REP_SERVER = 2;
export const REP_INFO = 3;
export const REP_META_CONTEXT = 4;
export const REP_ERR_UNSUP = 0x80000001;
export const REP_ERR_POLICY = 0x80000002;
export const REP_ERR_INVALID = 0x80000003;
export const REP_ERR_PLATFORM = 0x80000004;
export const REP_ERR_TLS_REQD = 0x80000005;
export const REP_ERR_UNKNOWN = 0x80000006;
export const REP_ERR_SHUTDOWN = 0x80000007;

// Information types of INFO and GO.
export const INFO_EXPORT = 0;
export const INFO_NAME = 1;
export const INFO_DESCRIPTION = 2;
export const INFO_BLOCK_SIZE = 3;

// Commands.
export const CMD_READ = 0;
export const CMD_WRITE = 1;
export const CMD_DISC = 2;
export const CMD_FLUSH = 3;
export const CMD_TRIM = 4;
export const CMD_CACHE = 5;
export const CMD_WRITE_ZEROES = 6;
export const CMD_BLOCK_STATUS = 7;
/** Of the extension `RESIZE`: the new size is in the request's offset, for it does not fit its length, which is 0. */
export const CMD_RESIZE = 8;

// Command flags.
export const CMD_FLAG_FUA = 1;
export const CMD_FLAG_NO_HOLE = 2;
export const CMD_FLAG_DF = 4;
export const CMD_FLAG_REQ_ONE = 8;
export const CMD_FLAG_FAST_ZERO = 16;

// Structured replies.
export const REPLY_FLAG_DONE = 1;
export const REPLY_NONE = 0;
export const REPLY_OFFSET_DATA = 1;
export const REPLY_OFFSET_HOLE = 2;
export const REPLY_BLOCK_STATUS = 5;
export const REPLY_ERROR = 0x8001;
export const REPLY_ERROR_OFFSET = 0x8002;

// Metadata contexts and their flags.
export const BASE_ALLOCATION = "base:allocation";
export const DIRTY_BITMAP_PREFIX = "qemu:dirty-bitmap:";
export const STATE_DIRTY = 1;
export const STATE_HOLE = 1;
export const STATE_ZERO = 2;
