mod card;
mod reduced;
mod scaled;
