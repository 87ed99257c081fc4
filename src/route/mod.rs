//! The route of a message: From -> sender, else the default relay; the identity guard. Pure: no IO, no clock.
