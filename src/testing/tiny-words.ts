/** What the tiny model of `tiny-gguf.ts` can say. Another word, or another order, makes another model of it. */

const TEXT =
  'harbor candle river mountain garden window letter stone bridge forest winter summer morning evening ' +
  'silver golden quiet gentle narrow open hidden broken distant early late warm cold bright dark deep ' +
  'shallow heavy light swift slow ancient young simple strange clever honest patient careful the a of and to ' +
  'in with from under over beside between behind before after along across against toward through without ' +
  'within because while until where when there here again always never often sometimes perhaps almost nearly ' +
  'only even still already soon later walks runs sings sleeps waits turns opens closes carries follows finds ' +
  'loses keeps gives takes makes builds breaks grows falls rises moves stays leaves returns begins ends ' +
  'remembers forgets listens speaks whispers laughs weeps dreams wakes wanders gathers scatters holds drops ' +
  'lifts lowers pulls pushes bird fish horse fox wolf bear deer rabbit owl crow swan bee ant cat dog mouse ' +
  'lamb goat bread salt honey apple pear plum cherry grape olive onion garlic pepper butter cheese milk wine ' +
  'water tea coffee sugar red blue green yellow white black brown grey purple orange pink one two three four ' +
  'five six seven eight nine ten hundred thousand house room door roof wall floor table chair lamp mirror ' +
  'clock key rope wheel cart boat sail anchor oar net wind rain snow storm cloud star moon sun sky earth ' +
  'fire smoke ash dust sand shore island valley meadow field road path gate tower village city market king ' +
  'queen child sailor farmer baker weaver painter teacher doctor singer stranger neighbor friend sister ' +
  'brother mother father';

export const WORDS: readonly string[] = TEXT.split(' ');

/** Words of more bytes than characters, so that whatever cuts texts at bytes is found out. */
export const ODD_WORDS: readonly string[] = ['naïve', 'größer', 'мир', '日本', '🙂', '👩‍🚀'];
