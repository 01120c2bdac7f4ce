"""Pictures of a report, by Altair: the only room that imports it.

A picture names its data instead of holding it: the page gives one table to several pictures. Colours are those of
Okabe and Ito, which the colour-blind tell apart; what colour says, shape, dash or text says as well.
"""
