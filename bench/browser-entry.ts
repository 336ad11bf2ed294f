// What a web page imports; `bundle.ts` builds it.
export { connect } from '@openclaw/client';
