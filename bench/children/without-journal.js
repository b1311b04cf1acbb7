// Loaded before a measured worker of ours: the journal hears everything and keeps nothing. There is no switch for that in src/, for
// nobody should run so; the catalogue says what is kept.

import { EVENT_CATALOGUE } from '../../dist/words/events.js';

for (const event of Object.values(EVENT_CATALOGUE)) event.journal = false;
